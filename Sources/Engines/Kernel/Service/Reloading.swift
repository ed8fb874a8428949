import KernelStructures

/// Where a service's configuration comes from: a file, which can be read again, or the command line.
public struct ConfigurationSource<Configuration> {
    /// The configuration it starts with.
    public let initial: Configuration
    /// Reads and checks the file as it is now; nil where there is none.
    public let read: (() throws -> Configuration)?
    /// The file's bytes, or nil while it cannot be read; to see whether it has changed.
    public let bytes: () -> [UInt8]?
    /// Why it cannot be read again, where it cannot: `it was started with --backends`.
    public let fixedBecause: String

    /// A configuration that can be read again.
    public init(
        _ initial: Configuration, read: @escaping () throws -> Configuration, bytes: @escaping () -> [UInt8]?
    ) {
        self.initial = initial
        self.read = read
        self.bytes = bytes
        fixedBecause = ""
    }

    /// A configuration that stays as it is.
    public init(fixed configuration: Configuration, because reason: String = "it was started without a file") {
        initial = configuration
        read = nil
        bytes = { nil }
        fixedBecause = reason
    }
}

/// How a service's configuration is read again, whatever its type.
public struct Reloading {
    /// Reads, checks and takes over; returns the line that says so, if there is one. Throws before anything changes.
    let takeOver: () throws -> LogMessage?
    /// Nil where there is no file to watch.
    let bytes: (() -> [UInt8]?)?

    /// - Parameter takeOver: checks against what cannot change while it runs, and changes all or nothing.
    public init<Configuration>(
        _ source: ConfigurationSource<Configuration>, takeOver: @escaping (Configuration) throws -> LogMessage?
    ) {
        self.takeOver = {
            guard let read = source.read else {
                throw ReloadFailure("\(source.fixedBecause); there is no file to read again")
            }
            return try takeOver(try read())
        }
        bytes = source.read == nil ? nil : source.bytes
    }
}

/// Why a new configuration was not taken over.
public struct ReloadFailure: Error, Equatable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
