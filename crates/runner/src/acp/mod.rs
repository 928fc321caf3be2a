//! Talks to an agent over the Agent Client Protocol.
