"""The part that every benchmark shares: worker processes, timing in interleaved rounds, reports and plots."""
