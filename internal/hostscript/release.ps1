try{Locked{"winrmkit: "+(Release $id)}}catch{[Console]::Error.WriteLine($_.Exception.Message);exit 1}
