import KernelStructures

/// Remembers which server a client's address was given: a table of bounded size from which the entry that has not been
/// used for the longest time falls out.
///
/// It is what a balancer has when it cannot hand out cookies. Its weakness is its key: all people behind one router are
/// one client, and one person who changes from home to train is two.
///
/// A dictionary for the way to an entry, and a list through the entries in the order of use. O(1) a look.
struct StickTable: Sendable {
    private struct Entry {
        var address: IPAddress
        var serial: Int
        var expires: LabTime
        var newer: Int
        var older: Int
    }

    let size: Int
    let expire: LabDuration
    private var entries: [Entry] = []
    private var places: [IPAddress: Int] = [:]
    private var newest = -1
    private var oldest = -1

    init(size: Int, expire: LabDuration) {
        self.size = size
        self.expire = expire
    }

    var count: Int { places.count }

    /// The entries that are in force, the latest used first.
    func used(_ now: LabTime) -> [(address: IPAddress, serial: Int, expires: LabTime)] {
        var found: [(address: IPAddress, serial: Int, expires: LabTime)] = []
        var place = newest
        while place >= 0 {
            let entry = entries[place]
            if entry.expires > now { found.append((entry.address, entry.serial, entry.expires)) }
            place = entry.older
        }
        return found
    }

    /// The serial number of the server that an address was given, if that was not too long ago.
    mutating func find(_ address: IPAddress, now: LabTime) -> Int? {
        guard let place = places[address], entries[place].expires > now else { return nil }
        return entries[place].serial
    }

    /// Remembers, or remembers for longer.
    mutating func set(_ address: IPAddress, _ serial: Int, now: LabTime) {
        let place: Int
        if let known = places[address] {
            place = known
            unlink(place)
        } else if entries.count < size {
            place = entries.count
            entries.append(Entry(address: address, serial: 0, expires: now, newer: -1, older: -1))
            places[address] = place
        } else {
            place = oldest
            unlink(place)
            places[entries[place].address] = nil
            places[address] = place
        }
        entries[place].address = address
        entries[place].serial = serial
        entries[place].expires = now + expire
        entries[place].newer = -1
        entries[place].older = newest
        if newest >= 0 { entries[newest].newer = place }
        newest = place
        if oldest < 0 { oldest = place }
    }

    private mutating func unlink(_ place: Int) {
        let (newer, older) = (entries[place].newer, entries[place].older)
        if newer >= 0 { entries[newer].older = older } else { newest = older }
        if older >= 0 { entries[older].newer = newer } else { oldest = newer }
    }
}
