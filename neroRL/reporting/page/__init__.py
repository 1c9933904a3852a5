"""The page ``report.html``: its charts, tables and sentences, in one file without a network."""
