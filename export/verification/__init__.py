"""Verification that exported models match the trained model and hold no training-only parts."""
