import ShellSession

/// What is typed to hold a hash ring and to ask it.
package enum HashRingCommands {
    package static var all: [Command] { [hashRingViz, hashRingCli, ring] }
}
