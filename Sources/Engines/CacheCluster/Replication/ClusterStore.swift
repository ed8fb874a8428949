/// Where the data is: a cache, or a dictionary in a test.
public protocol ClusterStore: AnyObject {
    func keyCount(inSlot slot: Int) -> Int
    /// Commands that make anew what the slot holds.
    func contents(ofSlot slot: Int) -> [[[UInt8]]]
    /// Forgets what is in a slot; nobody hears of it.
    func clear(slot: Int)
    /// From here on what lies in a slot is a copy of what another node has, or is not: only an original lets keys end
    /// and go. At first all are copies.
    func setCopy(slot: Int, _ isCopy: Bool)
    /// Carries out a write that another node has carried out.
    func apply(_ command: [[UInt8]])
}
