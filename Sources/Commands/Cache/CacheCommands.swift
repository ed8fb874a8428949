import CommandKit
import CommandRedis
import ShellSession

/// What is typed to start cache nodes and to talk to them.
package enum CacheCommands {
    package static var all: [Command] { [cacheNode, cacheCLI] }

    /// Where clients look if nobody says otherwise.
    static let defaultPort: UInt16 = 7001
    static var addressFlags: [CommandDescription.Flag] { RedisAddress.flags(port: defaultPort) }
}
