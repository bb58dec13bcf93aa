using Equip.Kernels.Dispatch;

namespace Equip.Kernels.Attention;

/// <summary>Work in items, of which there may be more than a pool has chunks.</summary>
internal interface IPrefillJob
{
    void Execute(long item, int worker);
}

/// <summary>Runs items on a pool: one a chunk, or every chunks-th.</summary>
internal static class PrefillJobs
{
    public static void Run<TJob>(KernelContext context, in TJob job, long items)
        where TJob : unmanaged, IPrefillJob
    {
        int chunks = (int)Math.Min(items, WorkerPool.MaxChunks);
        context.Pool.Run(new Chunks<TJob> { Job = job, Items = items, Step = chunks }, chunks);
    }

    private struct Chunks<TJob> : IParallelJob
        where TJob : unmanaged, IPrefillJob
    {
        public TJob Job;
        public long Items;
        public int Step;

        public void Execute(int chunk, int worker)
        {
            for (long item = chunk; item < Items; item += Step) Job.Execute(item, worker);
        }
    }
}
