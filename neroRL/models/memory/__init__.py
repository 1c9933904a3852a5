"""What a policy remembers: nothing, a recurrent state, or a transformer's episode."""
