"""Figures and the HTML page, from the files of run directories alone."""
