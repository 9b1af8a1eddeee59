"""Reports about the blast radius of a model: what it touched as the caller sees it, signed, verified offline."""
