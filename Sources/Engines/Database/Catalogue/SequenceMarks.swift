/// Where sequences stand, whatever becomes of the transactions that use them.
///
/// A number that `nextval` has given is never given again, even if its transaction is rolled back: a program may have
/// it written down elsewhere already. That is why numbers have gaps. What is stored goes back with the transaction;
/// this does not. After a crash only what is stored remains, and with it what was rolled back may come again.
final class SequenceMarks {
    struct Mark {
        let value: Int64
        let isCalled: Bool
    }

    private var marks: [UInt32: Mark] = [:]

    subscript(_ sequence: UInt32) -> Mark? {
        get { marks[sequence] }
        set { marks[sequence] = newValue }
    }

    /// Definitions and TRUNCATE write what is stored; from then on that counts.
    func forget(_ sequence: UInt32) { marks[sequence] = nil }
    func forgetAll() { marks = [:] }
}
