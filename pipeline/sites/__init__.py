"""What people saw on the ground: visits, labels, other detections, and what lies near what."""
