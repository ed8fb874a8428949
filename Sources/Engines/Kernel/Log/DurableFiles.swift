import KernelStorage

/// What every log does with names, so that a power failure finds either the old state or the new one.
extension NodeDisk {
    /// Makes a directory, and every name that leads to it durable: one that is lost takes everything with it.
    public func makeDurableDirectory(_ path: String) throws(DiskError) {
        try makeDirectory(path)
        var parent = path
        while parent != "/" {
            parent = DiskPath.parent(of: parent)
            try syncDirectory(parent)
        }
    }

    /// Puts a file in the place of another one, or of none, so that either is there whatever happens. Two syncs.
    ///
    /// - Returns: the new file, open for writing.
    public func replace(_ path: String, _ bytes: [UInt8]) throws(DiskError) -> any DiskFile {
        let file = try self.open(path + ".new", [.write, .create, .truncate])
        try file.write(bytes, at: 0)
        try file.sync()
        try rename(path + ".new", to: path)
        try syncDirectory(DiskPath.parent(of: path))
        return file
    }
}
