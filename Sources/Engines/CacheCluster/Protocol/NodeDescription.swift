import KernelStructures

/// What a node says of itself.
public struct NodeDescription: Equatable, Sendable {
    public var id: ClusterNodeID
    /// What people call it, and what its points on the ring are labelled with: its port unless it was named.
    public var name: String
    /// Where clients and other nodes reach it.
    public var host: String
    public var port: Int
    public var busPort: Int
    /// The master whose every write it copies; nil for a master.
    public var replicaOf: ClusterNodeID?
    /// How often it was started: what it held before is gone.
    public var life: Int

    public init(
        id: ClusterNodeID, name: String, host: String, port: Int, busPort: Int, replicaOf: ClusterNodeID? = nil,
        life: Int = 0
    ) {
        self.id = id
        self.name = name
        self.host = host
        self.port = port
        self.busPort = busPort
        self.replicaOf = replicaOf
        self.life = life
    }

    public var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    func put(into writer: inout RecordWriter) {
        writer.append(id)
        writer.append(name)
        writer.append(host)
        writer.append(UInt64(port))
        writer.append(UInt64(busPort))
        writer.append(replicaOf)
        writer.append(UInt64(life))
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        id = try reader.nodeID()
        name = try reader.word(limitBytes: 64)
        host = try reader.word(limitBytes: 255)
        port = try reader.number(below: 1 << 16)
        busPort = try reader.number(below: 1 << 16)
        replicaOf = try reader.optionalNodeID()
        life = try reader.number(below: 1 << 40)
    }
}

/// How the ring places slots, the same for all nodes: of two accounts the later holds.
public struct RingSettings: Equatable, Sendable {
    /// Counts changes; 0 where there is no ring yet.
    public var revision = 0
    public var isActive = false
    public var algorithm = PlacementAlgorithm.ring
    /// Copies of each slot besides the owner's.
    public var replicas = 1
    public var virtualNodes = 150

    public static let replicaRange = 0...8
    public static let virtualNodeRange = 1...4096

    public init() {}

    func isNewer(than other: RingSettings) -> Bool { revision > other.revision }

    func put(into writer: inout RecordWriter) {
        writer.append(UInt64(revision))
        writer.append(isActive)
        writer.append(byte: algorithm.code)
        writer.append(UInt64(replicas))
        writer.append(UInt64(virtualNodes))
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        revision = try reader.number(below: 1 << 40)
        isActive = try reader.flag()
        guard let algorithm = PlacementAlgorithm(code: try reader.byte()) else {
            throw RecordReader.Malformed(position: reader.position)
        }
        self.algorithm = algorithm
        replicas = try reader.number(below: Self.replicaRange.upperBound + 1)
        virtualNodes = try reader.number(below: Self.virtualNodeRange.upperBound + 1)
        if virtualNodes == 0 { throw RecordReader.Malformed(position: reader.position) }
    }
}

extension RecordReader {
    /// Not negative, and below a limit.
    mutating func number(below limit: Int) throws(Malformed) -> Int {
        let value = try unsigned()
        guard value < UInt64(limit) else { throw Malformed(position: position) }
        return Int(value)
    }

    /// Text that stands in one word of a line: without blanks or control characters.
    mutating func word(limitBytes: Int) throws(Malformed) -> String {
        let text = try text()
        guard text.utf8.count <= limitBytes, text.utf8.allSatisfy({ $0 > 32 && $0 != 127 && $0 != UInt8(ascii: ",") })
        else { throw Malformed(position: position) }
        return text
    }
}
