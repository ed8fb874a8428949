/// Several machines that act as one: see `Raft`.
public enum Consensus {}
