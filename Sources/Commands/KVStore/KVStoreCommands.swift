import CommandKit
import CommandRedis
import ShellSession

/// What is typed to start key-value stores and to talk to them.
package enum KVStoreCommands {
    package static var all: [Command] { [lsmKV, kvCLI, kvBench] }

    static var addressFlags: [CommandDescription.Flag] { RedisAddress.flags(port: 6379) }
}
