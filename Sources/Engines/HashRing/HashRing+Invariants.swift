extension HashRing {
    /// What is wrong with it; empty if all is well. For tests: nothing that can be done to a ring may break these.
    public var brokenInvariants: [String] {
        var broken: [String] = []
        if owners.count != positions.count || numbers.count != positions.count {
            return ["\(positions.count) positions, \(owners.count) owners, \(numbers.count) numbers"]
        }
        if Set(nodes.map(\.name)).count != nodes.count { broken.append("two nodes have the same name") }
        for index in positions.indices.dropFirst() {
            let isTie = positions[index - 1] == positions[index]
            if positions[index - 1] > positions[index] {
                broken.append("points \(index - 1), \(index) are not in order")
            }
            let names = (nodes[Int(owners[index - 1])].name, nodes[Int(owners[index])].name)
            if isTie, names.0 > names.1 {
                broken.append("points \(index - 1), \(index) share a place in the wrong order")
            }
        }
        if scheme != .ketama {
            for (index, node) in nodes.enumerated() {
                let own = zip(owners, numbers).filter { Int($0.0) == index }.map(\.1).sorted()
                if own != (1...UInt32(node.pointCount)).map({ $0 }) { broken.append("\(node.name) lacks points") }
            }
        }
        return broken
    }
}
