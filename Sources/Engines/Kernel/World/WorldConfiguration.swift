import KernelStorage
import KernelStructures

/// What a World is made from.
public struct WorldConfiguration {
    public var seed: UInt64 = 1
    public var epoch = LabTime.documentedEpoch
    /// Ignored without an event source: such a world has nothing to follow and stays virtual.
    public var speed = ClockSpeed.virtual
    public var transport: any Transport
    public var eventSource: (any EventSource)?
    /// Threads for offloaded jobs; without them the loop does all of it.
    public var workers: (any WorkerPool)?
    public var disk: any Disk
    public var diskCosts = DiskCosts.solidState
    /// Events; the oldest make room.
    public var journalCapacity = 100_000
    public var recordsTraffic = true

    public init(transport: any Transport, eventSource: (any EventSource)? = nil, disk: any Disk = SimulatedDisk()) {
        self.transport = transport
        self.eventSource = eventSource
        self.disk = disk
    }
}
