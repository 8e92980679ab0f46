/// What one HTTP/2 connection may ask of us. `listeners[].http2` in the configuration file.
package struct HTTP2Limits: Sendable, Equatable {
    /// Streams the peer may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS). As a client: the most we open,
    /// whatever the server allows.
    package var concurrentStreams = 100
    /// Body bytes of one stream that may wait unread (SETTINGS_INITIAL_WINDOW_SIZE). 65,535...2^31-1.
    ///
    /// 256 KiB hold most prompts whole, so that an upload costs no WINDOW_UPDATE of its own.
    package var streamWindow = 256 * 1024
    /// Body bytes of all streams of one connection that may wait unread. 65,535...2^31-1.
    package var connectionWindow = 1024 * 1024
    /// Names and values of a header block, and 32 for each field; beyond it a request is answered 431.
    package var headerListBytes = 32 * 1024
    /// Fields of a header block, cookie crumbs counted one by one; beyond it a request is answered 431.
    package var headerFields = 100
    /// Bytes of a header block beyond which the connection is cut: no mistake explains them.
    package var headerListBytesBeforeCut = 256 * 1024
    /// Fields of a header block beyond which the connection is cut.
    package var headerFieldsBeforeCut = 2000
    /// Bytes of `:path`; beyond it a request is answered 414.
    package var targetBytes = 8 * 1024
    /// Unsent body bytes of a stream from which its writer should pause.
    package var outputHighWater = 64 * 1024
    /// Unsent body bytes of a stream at which a paused writer may go on.
    package var outputLowWater = 16 * 1024
    /// Frames that cost the peer little and us much.
    package var frames = FrameBudgets()

    /// The limits of `docs/configuration.md`.
    package init() {}
}

/// How many frames of a kind a peer may send before the connection is cut.
///
/// Each count is halved every second, so a burst may have the full figure, and a steady sender half of it a second.
package struct FrameBudgets: Sendable, Equatable {
    /// RST_STREAM, but for streams whose response had begun. CVE-2023-44487.
    package var resets = 200
    /// Resets before the response began, when they also are more than half of all streams; decays like the others,
    /// for an editor that cancels most of its completions is no attack.
    package var earlyResets = 50
    /// PING, acknowledgements among them. CVE-2019-9512.
    package var pings = 100
    /// SETTINGS, acknowledgements among them. CVE-2019-9515.
    package var settings = 50
    /// PRIORITY. CVE-2019-9513.
    package var priorities = 200
    /// DATA that is empty and ends nothing. CVE-2019-9518.
    package var emptyData = 100
    /// Frames of types we do not know, and GOAWAY.
    package var unknown = 200
    /// Invalid frames: each makes us reset a stream, or answer 431. CVE-2025-8671.
    package var glitches = 100
    /// DATA for streams we had reset. An upload we refused may still have its whole window on the way.
    package var ignoredData = 1000
    /// WINDOW_UPDATE over the life of the connection, beyond two for each stream and twenty for each DATA we sent.
    package var windowUpdates = 100

    /// The budgets of `docs/configuration.md`.
    package init() {}
}
