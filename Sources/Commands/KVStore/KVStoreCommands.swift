import ShellSession

/// What is typed to start key-value stores and to talk to them.
package enum KVStoreCommands {
    package static var all: [Command] { [lsmKV, kvCLI, kvBench] }
}
