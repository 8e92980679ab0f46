/// What an exchange is waiting for, besides its endpoint; times of the reactor, `Int64.max` for never.
struct DueTimes {
    /// The first token of the attempt must have come.
    var firstToken = Int64.max
    /// A second attempt is sent.
    var hedge = Int64.max
    /// The head goes to the client although nothing of the body has come.
    var head = Int64.max
    /// The pause, or the stay in the queue, is over.
    var wake = Int64.max

    var next: Int64 { min(min(firstToken, hedge), min(head, wake)) }
}
