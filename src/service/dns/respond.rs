//! Questions and answers on the wire.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};

use super::records::{Answer, Zone};

/// The size of answers over UDP that we offer and accept.
const PAYLOAD: u16 = 1232;

impl Zone {
    /// The answer to a message, both as they stand on the wire; none to what is no question. In a `datagram` it is cut
    /// to what the client takes.
    pub fn respond(&self, question: &[u8], datagram: bool) -> Option<Vec<u8>> {
        let request = match Message::from_vec(question) {
            Ok(request) => request,
            Err(_) => {
                let id = question.get(..2).map(|id| u16::from_be_bytes([id[0], id[1]]))?;
                return Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok();
            }
        };
        if request.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.response_code = match request.queries.as_slice() {
            _ if request.metadata.op_code != OpCode::Query => ResponseCode::NotImp,
            [query] => {
                response.add_query(query.clone());
                match self.lookup(query.name(), query.query_type()) {
                    Answer::Records { answers, additionals } => {
                        response.metadata.authoritative = true;
                        if answers.is_empty() {
                            response.add_authority(self.authority());
                        }
                        response.add_answers(answers);
                        response.add_additionals(additionals);
                        ResponseCode::NoError
                    }
                    Answer::NoSuchName => {
                        response.metadata.authoritative = true;
                        response.add_authority(self.authority());
                        ResponseCode::NXDomain
                    }
                    Answer::NotOurs => ResponseCode::Refused,
                }
            }
            _ => ResponseCode::FormErr,
        };
        if request.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(PAYLOAD);
            response.set_edns(edns);
        }
        let wire = response.to_vec().ok()?;
        let limit = usize::from(request.max_payload().min(PAYLOAD));
        if datagram && wire.len() > limit {
            return response.truncate().to_vec().ok();
        }
        Some(wire)
    }
}
