{% from "layer.xml" import body with context %}
<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.16-Białowieża" styleCategories="AllStyleCategories" readOnly="0" hasScaleBasedVisibilityFlag="0" labelsEnabled="{{ 1 if layer.label else 0 }}" simplifyDrawingHints="1" simplifyDrawingTol="1" simplifyLocal="1">
{{ body(layer) }}
<layerGeometryType>{{ layer.geometry_code }}</layerGeometryType>
</qgis>
