"""Labels of cells, from whatever source, in one form: visits, polygons, inspections, background."""
