import ShellSession

/// What is typed to run the pooler.
package enum PoolerCommands {
    package static var all: [Command] { [pgbouncer] }
}
