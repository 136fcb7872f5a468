"""Fast grouped convolutions with one group per capsule."""
