using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>A part of what a decoder step gives on.</summary>
/// <param name="Text">Whole characters.</param>
/// <param name="Begins">It begins a token; otherwise it goes on with the last one.</param>
/// <param name="Ends">It ends the token.</param>
internal readonly record struct DecodedPart(string Text, bool Begins = true, bool Ends = true);

/// <summary>
/// One step of the way from tokens to text. A step turns parts to parts as they come, so that decoding all at once and decoding a
/// stream are the same code. Source: Hugging Face tokenizers, decoders.
/// </summary>
internal abstract class TokenDecoder
{
    /// <summary>A step at the start of a sequence, for one thread.</summary>
    public abstract State Start();

    /// <summary>A step in the midst of a sequence.</summary>
    public abstract class State
    {
        /// <summary>Takes a part and adds what can be said because of it.</summary>
        public abstract void Push(DecodedPart part, List<DecodedPart> result);

        /// <summary>Adds what is left at the end.</summary>
        public virtual void Flush(List<DecodedPart> result)
        {
        }
    }
}

/// <summary>Several steps, one after the other.</summary>
internal sealed class DecoderSequence(TokenDecoder[] steps) : TokenDecoder
{
    public override State Start() => new Running([.. steps.Select(step => step.Start())]);

    private sealed class Running(State[] steps) : State
    {
        public override void Push(DecodedPart part, List<DecodedPart> result) => Run([part], 0, flush: false, result);

        public override void Flush(List<DecodedPart> result) => Run([], 0, flush: true, result);

        private void Run(List<DecodedPart> parts, int from, bool flush, List<DecodedPart> result)
        {
            for (var step = from; step < steps.Length; step++)
            {
                List<DecodedPart> next = [];
                foreach (var part in parts)
                {
                    steps[step].Push(part, next);
                }

                if (flush)
                {
                    steps[step].Flush(next);
                }

                parts = next;
            }

            result.AddRange(parts);
        }
    }
}
