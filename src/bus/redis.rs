//! Redis pub/sub (placeholder until the supervisor lands).
