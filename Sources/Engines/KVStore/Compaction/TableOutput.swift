import KernelStorage

/// A table that a flush or a compaction is writing.
final class TableOutput {
    let number: UInt64
    let path: String
    private let file: any DiskFile
    private let builder: TableBuilder

    init(_ number: UInt64, in directory: StoreDirectory, _ options: KVStoreOptions) throws(KVStoreError) {
        self.number = number
        path = directory.path(.table(number))
        do throws(DiskError) {
            file = try directory.disk.open(path, [.write, .create, .truncate])
        } catch {
            throw .disk(error)
        }
        builder = TableBuilder(file: file, options: options)
    }

    @inline(__always) var byteCount: Int { builder.byteCount }

    @inline(__always) func add(_ key: Bytes, _ value: Bytes) throws(KVStoreError) {
        do throws(DiskError) { try builder.add(key, value) } catch { throw .disk(error) }
    }

    /// Writes the rest and syncs the file, but not the directory.
    func finish(level: Int) throws(KVStoreError) -> VersionEdit.NewFile {
        do throws(DiskError) { try builder.finish() } catch { throw .disk(error) }
        file.close()
        return VersionEdit.NewFile(
            level: level, number: number, byteCount: builder.finishedByteCount, smallest: builder.smallest,
            largest: builder.largest.array, entryCount: builder.entryCount)
    }

    func close() { file.close() }
}
