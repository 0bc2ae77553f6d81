//! Across NATs, in network namespaces.
