using Equip.Model.Safetensors;
using FsCheck;
using FsCheck.Fluent;

namespace Equip.Tests.Safetensors;

internal sealed class SafetensorsPropertyTests
{
    private static readonly (string Name, int Bits)[] _types = [("F32", 32), ("BF16", 16), ("U8", 8), ("I64", 64), ("F6_E2M3", 6), ("F4", 4)];

    private static readonly Gen<Tensor> _tensor =
        from name in Gen.Elements('a', 'Z', '.', '"', '\\', 'é', '\n', '\u2028', '0', '/').ListOf()
        from type in Gen.Choose(0, _types.Length - 1)
        from shape in Gen.Choose(0, 5).ListOf().Resize(4)
        select new Tensor(new string([.. name]), type, [.. shape.Select(dimension => (long)dimension)]);

    [Test]
    public void Read_WhatTheWriterWrote_GivesItBack()
        => Check.One(
            FsCheck.Config.QuickThrowOnFailure.WithMaxTest(1000).WithReplay(42, 43),
            Prop.ForAll(_tensor.ListOf().ToArbitrary(), Gen.Choose(0, 9).ToArbitrary(), (tensors, spaces) => RoundTrips([.. tensors.Where(tensor => tensor.Bits % 8 == 0).DistinctBy(tensor => tensor.Name)], spaces)));

    private static bool RoundTrips(Tensor[] tensors, int spaces)
    {
        SafetensorsWriter writer = new() { ExtraSpaces = spaces };
        writer.AddMetadata("key \"é\"", "value");
        foreach (Tensor tensor in tensors) writer.Add(tensor.Name, _types[tensor.Type].Name, tensor.Shape, new byte[tensor.Bits / 8]);
        byte[] file = writer.ToArray();
        List<TensorEntry> entries = SafetensorsHeader.Read("file", file, file.Length);
        // Empty tensors share an offset, so their order is the reader's.
        Dictionary<string, TensorEntry> byName = entries.ToDictionary(entry => entry.Name);
        long next = file.Length - tensors.Sum(tensor => tensor.Bits / 8);
        foreach (Tensor tensor in tensors)
        {
            TensorEntry entry = byName[tensor.Name];
            if (entry.Type.Name != _types[tensor.Type].Name || !entry.Shape.SequenceEqual(tensor.Shape) || entry.Begin != next) return false;
            next = entry.End;
        }

        return entries.Count == tensors.Length && next == file.Length;
    }

    private sealed record Tensor(string Name, int Type, long[] Shape)
    {
        public long Bits => Shape.Aggregate((long)_types[Type].Bits, (a, b) => a * b);
    }
}
