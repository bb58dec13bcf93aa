using Equip.Kernels.Linear;

namespace Equip.Model.Transformer;

/// <summary>Where matrices and vectors come from.</summary>
internal interface IWeightSource
{
    WeightMatrix Matrix(string name, int rows, int columns, bool convert);

    float[] Vector(string name, int length);
}
