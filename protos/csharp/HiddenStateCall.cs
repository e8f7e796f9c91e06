using System.Buffers;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Grpc.Core;

namespace LrtMesh.V1;

public static partial class ExtractionService
{
    public partial class ExtractionServiceClient
    {
        private const uint Chunk = ExtractHiddenStatesResponse.ChunkFieldNumber << 3 | (uint)WireFormat.WireType.LengthDelimited;
        private const uint Tensor = TensorChunk.TensorFieldNumber << 3 | (uint)WireFormat.WireType.Varint;
        private const uint Offset = TensorChunk.OffsetFieldNumber << 3 | (uint)WireFormat.WireType.Varint;
        private const uint Data = TensorChunk.DataFieldNumber << 3 | (uint)WireFormat.WireType.LengthDelimited;
        private const uint Checksum = TensorChunk.Crc32CFieldNumber << 3 | (uint)WireFormat.WireType.Fixed32;

        /// <summary>
        /// ExtractHiddenStates for a caller that puts the bytes of chunks where they belong: it sees each message as it is received, and no array is made of a chunk's bytes
        /// before that.
        /// </summary>
        /// <param name="take">Makes of a message what the stream then gives. The data of a chunk is gone when it returns. It must not throw: the call would fail with INTERNAL.</param>
        /// <param name="options">Of the call.</param>
        public AsyncDuplexStreamingCall<ExtractHiddenStatesRequest, T> ExtractHiddenStates<T>(Func<ExtractHiddenStatesResponse, T> take, CallOptions options)
            where T : class
        {
            var method = new Method<ExtractHiddenStatesRequest, T>(
                __Method_ExtractHiddenStates.Type,
                __Method_ExtractHiddenStates.ServiceName,
                __Method_ExtractHiddenStates.Name,
                __Method_ExtractHiddenStates.RequestMarshaller,
                Marshallers.Create<T>((_, _) => throw new NotSupportedException(), context => take(Read(context.PayloadAsReadOnlySequence()))));
            return CallInvoker.AsyncDuplexStreamingCall(method, null, options);
        }

        private static ExtractHiddenStatesResponse Read(ReadOnlySequence<byte> message) =>
            message.IsSingleSegment && MemoryMarshal.TryGetArray(message.First, out var bytes) && ReadChunk(bytes) is { } chunk
                ? new() { Chunk = chunk }
                : ExtractHiddenStatesResponse.Parser.ParseFrom(message);

        /// <summary>The chunk that a message is, its data where it was received; null where the message is another, or has fields that are not of the contract.</summary>
        private static TensorChunk? ReadChunk(ArraySegment<byte> message)
        {
            var (bytes, end) = (message.Array!, message.Offset + message.Count);
            var input = new CodedInputStream(bytes, message.Offset, message.Count);
            if (input.ReadTag() != Chunk || input.ReadLength() != end - input.Position)
            {
                return null;
            }

            var chunk = new TensorChunk();
            while (!input.IsAtEnd)
            {
                switch (input.ReadTag())
                {
                    case Tensor:
                        chunk.Tensor = input.ReadUInt32();
                        break;
                    case Offset:
                        chunk.Offset = input.ReadUInt64();
                        break;
                    case Data:
                        var (length, start) = (input.ReadLength(), (int)input.Position);
                        if (length < 0 || length > end - start)
                        {
                            return null; // the parser says what is wrong
                        }

                        chunk.Data = UnsafeByteOperations.UnsafeWrap(bytes.AsMemory(start, length));
                        input = new CodedInputStream(bytes, start + length, end - start - length);
                        break;
                    case Checksum:
                        chunk.Crc32C = input.ReadFixed32();
                        break;
                    default:
                        return null;
                }
            }

            return chunk;
        }
    }
}
