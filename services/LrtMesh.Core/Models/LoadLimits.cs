namespace LrtMesh.Core.Models;

/// <summary>What a load is held to while the process serves other models.</summary>
/// <param name="MemoryLeft">Bytes that the weights may take.</param>
/// <param name="Cancellation">Ends it before the next tensor; nothing is left then.</param>
public sealed record LoadLimits(long MemoryLeft, CancellationToken Cancellation);
