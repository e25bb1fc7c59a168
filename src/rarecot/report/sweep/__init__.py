"""The report over a sweep: which panels, their numbers, the theory over them, the drawing, the page."""
