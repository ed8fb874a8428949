import KernelCryptography

/// Points as ketama places them, so that keys are where memcached clients of any language look for them.
///
/// ketama (Richard Jones, last.fm, 2007) came first, and libmemcached, spymemcached, twemproxy and many others agree
/// with it to the bit. Its ring has 2³² positions. A node of average weight has 40 labels `name-0` … `name-39`; each
/// label's MD5 digest is cut into four little-endian numbers, which makes 160 points. A key is at the first four
/// bytes of its own digest. Here these 32 bits are the upper half of a 64-bit position, so that everything else stays
/// the same.
///
/// A node's number of labels is its share of the weight times 40 times the number of nodes, rounded down. So with
/// unequal weights a node that comes changes how many points *others* have, and a few keys move between those: the
/// price of being compatible. `Movement` shows them.
///
/// Two points at the same place (one in a million pairs of nodes) have no common rule: libketama leaves it to
/// `qsort`, uhashring to whoever came last. Here the first name has it. And uhashring takes a key that hashes exactly
/// onto a point to the *next* one, libketama and this ring to that one.
enum Ketama {
    static let pointsPerDigest = 4

    static func points(of nodes: [RingNode]) -> [HashRing.Point] {
        let totalWeight = nodes.reduce(0) { $0 + $1.weight }
        return nodes.enumerated().flatMap { index, node in
            let labels = node.virtualNodes / pointsPerDigest * nodes.count * node.weight / totalWeight
            return (0..<labels).flatMap { label in
                quarters(of: "\(node.name)-\(label)").enumerated().map { quarter, value in
                    HashRing.Point(
                        position: UInt64(value) << 32, owner: UInt32(index),
                        number: UInt32(label * pointsPerDigest + quarter + 1))
                }
            }
        }
    }

    static func position(ofKey bytes: UnsafeRawBufferPointer) -> UInt64 {
        MessageDigest.md5.withDigest(of: bytes) {
            UInt64(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self))) << 32
        }
    }

    private static func quarters(of label: String) -> [UInt32] {
        var label = label
        return label.withUTF8 { bytes in
            MessageDigest.md5.withDigest(of: UnsafeRawBufferPointer(bytes)) { digest in
                (0..<pointsPerDigest).map {
                    UInt32(littleEndian: digest.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))
                }
            }
        }
    }
}
