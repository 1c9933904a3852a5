"""From files and overrides to checked job configs: what neroRL adds to Hydra's composition."""
