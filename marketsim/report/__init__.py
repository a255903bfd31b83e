"""Figures and pages about runs that are over."""
