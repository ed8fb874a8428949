import ShellSession

/// What is typed to try connection pools and to look into them.
package enum ConnectionPoolCommands {
    package static var all: [Command] { [poolTest, poolDatabase, connpool, holders] }
}
