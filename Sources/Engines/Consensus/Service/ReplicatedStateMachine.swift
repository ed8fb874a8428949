/// What is replicated: the same commands in the same order make the same state on every member.
///
/// All of it is called on the node's loop. Nothing in `apply` may depend on a clock, on chance, on a dictionary's order
/// or on which node it is: what such things decide is decided by whoever proposes, and stands in the command.
public protocol ReplicatedStateMachine: AnyObject {
    /// Carries out a command that the group has agreed on.
    ///
    /// - Parameters:
    ///   - index: its place in the log. It grows with every call, by more than one now and then.
    ///   - command: what was proposed. It is never a command that was applied before, even where it had to be sent
    ///     twice.
    /// - Returns: what the proposer is told. The group keeps it until it knows that the proposer has it, so it should
    ///   be short. What is wrong with a command is a result, too: every member has to come to it.
    func apply(_ index: Int, _ command: [UInt8]) -> [UInt8]
    /// The whole state, as `restore` reads it.
    func snapshot() -> [UInt8]
    /// Forgets the present state and takes over another one: at the start, and when this member was left behind.
    ///
    /// - Throws: what is wrong with it. The member stops then.
    func restore(_ snapshot: [UInt8]) throws
}
