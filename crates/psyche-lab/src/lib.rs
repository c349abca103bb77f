//! Analysis, statistics and exports over logs: an empty room for now (README, status).
