"""Labels of cells, from whatever source, in one form: visits, polygons, inspections, background.

A new kind of labels is a module with a ``LabelKind`` (:mod:`pipeline.sites.labels.rows`) and its
line in ``KINDS`` (:mod:`pipeline.sites.labels.gather`).
"""
