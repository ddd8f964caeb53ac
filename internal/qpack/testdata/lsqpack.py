"""An encoder and a decoder of ls-qpack for TestLSQPACK.

Each line of standard input is a JSON list: a command and its arguments. Each line of standard output is the JSON
value of the result. Bytes are written in hexadecimal digits. A command that fails results in {"error": NAME}.
"""

import json
import sys

import pylsqpack


def names(fields):
    return [[bytes.fromhex(name), bytes.fromhex(value)] for name, value in fields]


def hexes(result):
    data, fields = result
    return [data.hex(), [[name.hex(), value.hex()] for name, value in fields]]


class Peer:
    def reset(self, capacity, blocked):
        """Starts a new connection, whose decoder has these settings."""
        self.encoder = pylsqpack.Encoder()
        self.decoder = pylsqpack.Decoder(capacity, blocked)

    def settings(self, capacity, blocked):
        """Gives the encoder the settings of our decoder. Returns data of the encoder stream."""
        return self.encoder.apply_settings(capacity, blocked).hex()

    def encode(self, stream, fields):
        """Returns data of the encoder stream, and a section."""
        instructions, section = self.encoder.encode(stream, [tuple(f) for f in names(fields)])
        return [instructions.hex(), section.hex()]

    def decoder_stream(self, data):
        self.encoder.feed_decoder(bytes.fromhex(data))

    def encoder_stream(self, data):
        """Returns the streams that are no longer blocked."""
        return self.decoder.feed_encoder(bytes.fromhex(data))

    def decode(self, stream, section):
        """Returns data of the decoder stream, and fields."""
        return hexes(self.decoder.feed_header(stream, bytes.fromhex(section)))

    def resume(self, stream):
        """Returns what decode does, for a stream that was blocked."""
        return hexes(self.decoder.resume_header(stream))

    def cancel(self, stream):
        """Returns data of the decoder stream."""
        return self.decoder.cancel_stream(stream).hex()


def main():
    peer = Peer()
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            result = getattr(peer, command)(*arguments)
        except (
            pylsqpack.DecompressionFailed,
            pylsqpack.DecoderStreamError,
            pylsqpack.EncoderStreamError,
            pylsqpack.StreamBlocked,
        ) as error:
            result = {"error": type(error).__name__}
        print(json.dumps(result), flush=True)


main()
