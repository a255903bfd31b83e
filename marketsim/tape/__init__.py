"""What the loop writes as it goes: series, crowd, wealth; the finished result and its digest."""
