extension Execution {
    /// The session is over: lets go of everything, and tells nobody.
    func abandon() {
        isFinished = true
        onFinish = nil
        frames = []
        for child in children { child.abandon() }
        children = []
        streams = Streams()
        let abandoned = parts
        parts = []
        for part in abandoned + readers.values.map(\.part) + lateReaders { part.abandon() }
        (readers, lateReaders) = ([:], [])
    }
}
