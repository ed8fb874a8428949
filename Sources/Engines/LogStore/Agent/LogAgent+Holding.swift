import KernelStructures

// Files of which the collector takes nothing now, because a stream of theirs has had too much: the others go on.
//
// The collector takes what lies before a line of a file for something that it has, once it has the line. So of one file
// nothing may overtake what was put off: all of it that is on its way comes back as well (the collector puts it off by
// itself), and nothing of it is sent before the collector has answered for each of them.
extension LogAgent {
    struct Hold {
        var until: LabTime
        /// The last batch of the file that was on its way and is not answered; nil if all are.
        var lastNumber: Int?
        /// How long it was put off, which doubles while nothing of the file is taken. Seconds.
        var delaySeconds: Int
        /// Its time is over; it is forgotten when something of the file is taken.
        var isOver = false
        /// The next batch of the file has to say that it was put off.
        var mustSayAgain = true
    }

    private static let longestDelaySeconds = 30

    /// The collector takes a batch later.
    ///
    /// - Returns: the file's path; nil where that is known already.
    public func putOff(_ number: Int) -> String? {
        guard let first = sent.firstIndex(of: number) else {
            for (generation, hold) in holds where hold.lastNumber == number { holds[generation]?.lastNumber = nil }
            return nil
        }
        let generation = queue[first].generation
        let path = queue[first].path
        var back: [Item] = []
        var lastNumber = number
        for place in sent.indices.reversed() where place >= first && queue[place].generation == generation {
            lastNumber = max(lastNumber, sent.remove(at: place))
            // It cannot be sent again.
            if queue[place].isGivenUp { drop(at: place) } else { back.append(queue.remove(at: place)) }
        }
        // All of the file that was not sent yet comes behind.
        queue.insert(contentsOf: back.reversed(), at: sent.count)
        let delay = min(Self.longestDelaySeconds, (holds[generation]?.delaySeconds ?? 0) * 2)
        holds[generation] = Hold(
            until: scanTime + .seconds(max(1, delay)), lastNumber: lastNumber == number ? nil : lastNumber,
            delaySeconds: max(1, delay))
        return path
    }

    /// The paths of files that the collector has put off, sorted.
    public var heldPaths: [String] {
        guard !holds.isEmpty else { return [] }
        return Set(queue.filter { holds[$0.generation] != nil }.map(\.path)).sorted()
    }

    /// Something of a file was taken.
    func noteProgress(of generation: Int) {
        guard let hold = holds[generation] else { return }
        if hold.isOver { holds[generation] = nil } else { holds[generation]?.delaySeconds = 0 }
    }

    func isHeld(_ generation: Int) -> Bool { holds[generation]?.isOver == false }

    /// Files whose time has come may be sent again.
    func endHolds() {
        if holds.isEmpty { return }
        for (generation, hold) in holds where hold.lastNumber == nil && hold.until <= scanTime {
            holds[generation]?.isOver = true
        }
        // What was dropped here meanwhile has nothing left that could be taken.
        let waiting = Set(queue.map(\.generation))
        holds = holds.filter { !$0.value.isOver || waiting.contains($0.key) }
    }

    /// The first item that is not on its way and may be sent.
    func nextIndex() -> Int? {
        if holds.isEmpty { return sent.count < queue.count ? sent.count : nil }
        return queue.indices.dropFirst(sent.count).first { !isHeld(queue[$0].generation) }
    }

    /// Whether a batch of that file, which is being sent, has to say that it was put off.
    func takeAgain(_ generation: Int) -> Bool {
        guard holds[generation]?.mustSayAgain == true else { return false }
        holds[generation]?.mustSayAgain = false
        return true
    }
}
