"""The files of a map: GeoPackage, QGIS project, rasters, inspection forms, crate."""
