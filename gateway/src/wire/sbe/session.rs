//! The messages that open, keep and end a session.

use zerocopy::little_endian::{U16, U32, U64};

block! {
    /// Opens a session: the client's first message.
    Logon = 1 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The client's name of the session.
        sender_comp_id: [u8; 16] as compId,
        /// The venue.
        target_comp_id: [u8; 32] as venueTag,
        /// A key of the account.
        public_key: [u8; 32] as publicKey,
        /// Longest silence: 500 to 60000.
        heartbeat_interval: U32 as milliseconds,
        /// The last accountSequence that the client has; 2^64 - 1 for reports from now on only.
        resume_from_sequence: U64 as sequence,
        /// What the session is for.
        role: u8 as SessionRole,
        /// What becomes of the account's orders when its last session ends.
        disconnect_mode: u8 as DisconnectChoice,
        /// Over the logon text.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// The session is open; reports that were missed follow.
    LogonAccepted = 2 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The key's account.
        account_id: U32 as accountId,
        /// The key.
        key_id: U32 as keyId,
        /// The account's last report so far.
        last_account_sequence: U64 as sequence,
        /// The first report that follows is the one behind this.
        resumed_from: U64 as sequence,
        /// Longest silence of both sides.
        heartbeat_interval: U32 as milliseconds,
        /// Part of every signed digest.
        chain_id: U64 as chainId,
        /// Part of every signed digest.
        contract: [u8; 20] as contract,
        /// Requests without an answer at most.
        max_in_flight: U32 as count32,
        /// What the session is for.
        role: u8 as SessionRole,
    }
}

block! {
    /// Says that the sender is there.
    Heartbeat = 3 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Of the TestRequest that it answers; 0 where it answers none.
        test_id: U64 as testId,
    }
}

block! {
    /// Asks for a Heartbeat.
    TestRequest = 4 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// To be sent back.
        test_id: U64 as testId,
    }
}

block! {
    /// Ends the session; the connection is closed behind it.
    Logout = 5 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Why; 0 for no trouble.
        code: U16 as code,
        /// The code's name.
        text: [u8; 40] as text,
    }
}

block! {
    /// A message that cannot be taken; the venue closes the connection behind it.
    Reject = 6 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Of the message, as far as it could be read; else 0.
        ref_sequence_number: U64 as sequence,
        /// Of the message, as far as it could be read; else 0.
        ref_template_id: U16 as templateId,
        /// Why.
        code: U16 as code,
        /// The code's name.
        text: [u8; 40] as text,
    }
}
