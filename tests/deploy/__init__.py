"""The files that bring Tally to containers and clusters, checked by their makers' tools and against each other."""
